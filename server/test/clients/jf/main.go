// The JFrog CLI's Artifactory commands in a program of their own. The CLI's own module cannot be required: its
// releases are tagged v2 but its path is not. What is missing with it is its list of commands and the parsing of
// flags; the commands are those that it runs.
package main

import (
	"github.com/jfrog/jfrog-cli-artifactory/cli"
	"github.com/jfrog/jfrog-cli-core/v2/common/commands"
	"github.com/jfrog/jfrog-cli-core/v2/plugins"
	"github.com/jfrog/jfrog-cli-core/v2/plugins/components"
	"github.com/jfrog/jfrog-cli-core/v2/utils/config"
)

func main() {
	app := cli.GetJfrogCliArtifactoryApp()
	app.Version = "v2.60.0"
	app.Subcommands = append(app.Subcommands, components.Namespace{
		Name:        "config",
		Aliases:     []string{"c"},
		Description: "Server configurations.",
		Commands: []components.Command{{
			Name:      "add",
			Arguments: []components.Argument{{Name: "server-id"}},
			Flags: []components.Flag{
				components.NewStringFlag("url", "The platform's address."),
				components.NewStringFlag("user", "User name."),
				components.NewStringFlag("password", "Password."),
				components.NewStringFlag("access-token", "Access token."),
				components.NewBoolFlag("enc-password", "Store what the server makes of the password.", components.WithBoolDefaultValueTrue()),
			},
			Action: add,
		}},
	})
	plugins.PluginMain(app)
}

func add(context *components.Context) error {
	details := &config.ServerDetails{
		Url:         context.GetStringFlagValue("url"),
		User:        context.GetStringFlagValue("user"),
		Password:    context.GetStringFlagValue("password"),
		AccessToken: context.GetStringFlagValue("access-token"),
	}
	command := commands.NewConfigCommand(commands.AddOrEdit, context.GetArgumentAt(0)).
		SetDetails(details).
		SetInteractive(false).
		SetEncPassword(context.GetBoolTFlagValue("enc-password"))
	return commands.Exec(command)
}
