namespace Lamina.Management.Protocol;

/// <summary>Arguments of <see cref="ControlVerbs.Logs"/>.</summary>
public sealed record LogArguments
{
    /// <summary>Whether the stream goes on with what the console will show, until the machine ends.</summary>
    public bool Follow { get; set; }
}
