using System.CommandLine;
using System.CommandLine.Parsing;

namespace Lamina.Cli.Arguments;

/// <summary>Says in one line what is wrong with a command line that does not parse.</summary>
internal static class ParseErrors
{
    /// <summary>The first error, or null if there is none.</summary>
    public static string? Describe(ParseResult result)
    {
        Command command = result.CommandResult.Command;
        string help = $"See 'lamina {(command is RootCommand ? "" : command.Name + " ")}--help'.";

        // An unknown option where an argument may stand is parsed as the argument.
        Token? dashed = result.CommandResult.Children.OfType<ArgumentResult>().SelectMany(a => a.Tokens).FirstOrDefault(t => t.Value.StartsWith('-'));
        if (dashed != null)
        {
            return $"{DescribeUnmatched(command, dashed.Value)} {help}";
        }

        if (result.Errors.Count == 0)
        {
            return null;
        }

        if (result.UnmatchedTokens.Count > 0)
        {
            return $"{DescribeUnmatched(command, result.UnmatchedTokens[0])} {help}";
        }

        OptionResult? option = result.Errors.Select(e => e.SymbolResult).OfType<OptionResult>().FirstOrDefault();
        if (option != null)
        {
            string name = option.Option.Name;
            return option.Tokens.Count == 0
                ? $"{name} needs a value: {name} {option.Option.HelpName}. {help}"
                : $"{name} is given more than once. {help}";
        }

        return result.CommandResult.Command is RootCommand && result.Tokens.Count == 0 ? null : $"{result.Errors[0].Message} {help}";
    }

    private static string DescribeUnmatched(Command command, string token)
    {
        if (token.StartsWith('-'))
        {
            string name = token.Split('=')[0];
            IEnumerable<string> options = command.Options.Where(o => !o.Hidden).Select(o => o.Name);
            return $"unknown option '{name}'.{Suggestion.For(name, options)}";
        }

        return command.Subcommands.Count > 0
            ? $"unknown command '{token}'.{Suggestion.For(token, command.Subcommands.Select(c => c.Name))}"
            : command.Arguments.Count > 0
                ? $"unexpected argument '{token}'. A command to run in the guest goes after '--'."
                : $"unexpected argument '{token}'.";
    }
}
