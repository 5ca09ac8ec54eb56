namespace Lamina.Machine.Personalities;

/// <summary>What a hypercall can have done by the processor that executes it, beside its general registers. On that processor's own thread, during the call.</summary>
public interface ICallingProcessor
{
    /// <summary>
    /// Drops translations that processors have cached. It does not wait: each of them has dropped what is asked for, or executes nothing, before the calling processor executes its next
    /// instruction. More may be dropped than is asked for.
    /// </summary>
    /// <param name="processors">A bit for each processor, the calling one among them or not. Bits of processors that do not exist mean nothing.</param>
    /// <param name="withGlobal">Those of global pages too. Single pages are dropped either way.</param>
    /// <param name="pages">Linear addresses in the pages; empty for all.</param>
    void DropTranslations(ulong processors, bool withGlobal, ReadOnlySpan<ulong> pages);

    /// <summary>Reads XMM registers, 16 bytes each, from XMM0 on.</summary>
    /// <param name="destination">At most 256 bytes.</param>
    void ReadVectors(Span<byte> destination);

    /// <summary>Writes bytes of XMM registers.</summary>
    /// <param name="offset">Where, in bytes from the first of XMM0.</param>
    /// <param name="source">The bytes; they end in XMM15 at most.</param>
    void WriteVectors(int offset, ReadOnlySpan<byte> source);

    /// <summary>Lets others have the host's processor for a moment, because the guest waits for another processor of its own.</summary>
    void GiveWay();
}
