namespace Lamina.SoftCpu;

/// <summary>A block of guest code, or several that follow each other, and the host code that was made from it. The spans are good during the call that hands it over.</summary>
public readonly ref struct TranslatedBlock
{
    /// <summary>Guest address (RIP) for which it was made.</summary>
    public ulong Rip { get; init; }

    /// <summary>Guest-physical address.</summary>
    public ulong Physical { get; init; }

    /// <summary>The guest's instructions, those of all blocks behind each other.</summary>
    public ReadOnlySpan<byte> GuestCode { get; init; }

    /// <summary>Which of them are at which guest address, block by block; empty if there is one block.</summary>
    public ReadOnlySpan<TranslatedPart> Parts { get; init; }

    /// <summary>Where the host code is executed.</summary>
    public nint HostAddress { get; init; }

    /// <summary>The host code.</summary>
    public ReadOnlySpan<byte> HostCode { get; init; }

    /// <summary>Time that writing it took.</summary>
    public TimeSpan Duration { get; init; }

    /// <summary>Addresses that the host code calls with data behind the call, and how many bytes of it.</summary>
    public IReadOnlyDictionary<nint, int> CallData { get; init; }
}
