namespace Lamina.SoftCpu;

/// <summary>Where translated code and the interpreter came to different results from the same state.</summary>
public sealed record LockstepDifference
{
    /// <summary>One line: where, and what differs first.</summary>
    public required string Summary { get; init; }

    /// <summary>All differences, then the registers at the start, a line each.</summary>
    public required IReadOnlyList<string> Details { get; init; }

    /// <summary>Guest address of the block.</summary>
    public required ulong Rip { get; init; }

    /// <summary>Its instructions.</summary>
    public required IReadOnlyList<byte> GuestCode { get; init; }

    /// <summary>Where its translation is.</summary>
    public required nint HostAddress { get; init; }

    /// <summary>The translation.</summary>
    public required IReadOnlyList<byte> HostCode { get; init; }

    /// <summary>Addresses that the translation calls with data behind the call, and how many bytes of it.</summary>
    public required IReadOnlyDictionary<nint, int> CallData { get; init; }
}
