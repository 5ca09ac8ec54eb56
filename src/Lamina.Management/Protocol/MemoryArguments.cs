namespace Lamina.Management.Protocol;

/// <summary>Arguments of <see cref="ControlVerbs.Memory"/>.</summary>
public sealed record MemoryArguments
{
    /// <summary>Bytes of memory that the guest is to have: not more than the machine can have.</summary>
    public ulong Bytes { get; set; }
}
