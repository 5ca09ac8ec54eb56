namespace Lamina.Machine.Backends;

/// <summary>What a disk's content comes from. What the host refuses is a <see cref="BlockResult"/>, never an exception.</summary>
public interface IBlockBackend
{
    /// <summary>Bytes, a multiple of 512.</summary>
    ulong Length { get; }

    /// <summary>Whether writes are refused.</summary>
    bool IsReadOnly { get; }

    /// <summary>Whether <see cref="BlockOperation.Discard"/> gives space back.</summary>
    bool CanDiscard { get; }

    /// <summary>The length and alignment in bytes that suit the back end: a power of two, at least 512.</summary>
    uint PreferredBlock { get; }

    /// <summary>
    /// Begins a request. Any thread, several at once; never waits for the host. Requests under way may end in any order, and overlapping ones leave either's content.
    /// </summary>
    /// <returns><c>true</c> if it has ended already, with its result in it; <c>false</c> if the owner will be told.</returns>
    bool Submit(BlockRequest request);

    /// <summary>Waits until every request submitted before has completed. Not on a vCPU thread.</summary>
    void Drain();
}
