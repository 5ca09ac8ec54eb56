using System.CommandLine;
using System.CommandLine.Invocation;
using System.Reflection;

namespace Lamina.Cli.Output;

/// <summary>Shows the version.</summary>
internal sealed class VersionAction(TextWriter output) : SynchronousCommandLineAction
{
    /// <summary>The version of this program.</summary>
    public static string Version { get; } =
        typeof(VersionAction).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";

    /// <inheritdoc/>
    public override int Invoke(ParseResult parseResult)
    {
        output.WriteLine($"lamina {Version}");
        return ExitStatus.Success;
    }
}
