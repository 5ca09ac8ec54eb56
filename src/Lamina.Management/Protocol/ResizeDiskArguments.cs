namespace Lamina.Management.Protocol;

/// <summary>Arguments of <see cref="ControlVerbs.ResizeDisk"/>.</summary>
public sealed record ResizeDiskArguments
{
    /// <summary>The disk's name.</summary>
    public string Device { get; set; } = "";

    /// <summary>Bytes that it is to have: not fewer than it has, and a multiple of 512.</summary>
    public ulong Bytes { get; set; }
}
