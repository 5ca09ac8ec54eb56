namespace Lamina.Management.Protocol;

/// <summary>Arguments of <see cref="ControlVerbs.Attach"/>: a disk or a network card.</summary>
public sealed record AttachArguments
{
    /// <summary>A disk, as <c>lamina run --disk</c> takes it, with an absolute path; null for none.</summary>
    public string? Disk { get; set; }

    /// <summary>A network card, as <c>lamina run --net</c> takes it; null for none.</summary>
    public string? Network { get; set; }

    /// <summary>Ports of the host that lead to the guest through the card, as <c>lamina run --publish</c> takes them.</summary>
    public IReadOnlyList<string> Publish { get; set; } = [];

    /// <summary>Files that the client has opened and passes: those of a disk's image, or one, what a network card is connected to. Empty if the machine's process is to open them.</summary>
    public IReadOnlyList<PassedFileArguments> Files { get; set; } = [];
}
