namespace Lamina.Management.Protocol;

/// <summary>A file that a client has opened for the machine, whose descriptor follows.</summary>
public sealed record PassedFileArguments
{
    /// <summary>Its name: for a disk's image, the path by which it is asked for.</summary>
    public string Path { get; set; } = "";

    /// <summary>Whether it is open for writing.</summary>
    public bool Writable { get; set; }

    /// <summary>Whether it is open past the host's cache.</summary>
    public bool Direct { get; set; }
}
