namespace Lamina.SoftCpu.Memory;

/// <summary>
/// The address spaces of which a processor keeps translations: the current one, and some that were current before, by their process-context identifiers (PCID; Intel SDM volume 3, section 4.10.1). What is
/// kept of each is in <see cref="Tlb"/>, <see cref="Blocks.JumpCache"/> and <see cref="Blocks.FetchCache"/>, under the space's number.
/// </summary>
internal sealed class SpaceTable
{
    /// <summary>Spaces at most; Linux uses six.</summary>
    public const int Count = 8;

    private const int Nothing = -1;
    private readonly int[] _identifiers = new int[Count];
    private readonly ulong[] _used = new ulong[Count];
    private ulong _time;

    public SpaceTable() => Array.Fill(_identifiers, Nothing);

    /// <summary>The number of the current space.</summary>
    public int Current { get; private set; }

    /// <summary>The number of a space that is not the current one, or -1 if nothing is kept of it.</summary>
    public int Find(int identifier)
    {
        int space = Array.IndexOf(_identifiers, identifier);
        return space == Current ? Nothing : space;
    }

    /// <summary>Leaves the current space for another.</summary>
    /// <param name="from">The current space's identifier.</param>
    /// <param name="to">The other's, which is not the same.</param>
    /// <returns>Whether that is kept; otherwise it has the number of one that is to be forgotten.</returns>
    public bool Switch(int from, int to)
    {
        int space = Find(to);
        bool kept = space != Nothing;
        if (Find(from) is var older and not Nothing)
        {
            // From before identifiers meant something else.
            _identifiers[older] = Nothing;
        }

        _identifiers[Current] = from;
        _used[Current] = ++_time;
        if (!kept)
        {
            space = Current == 0 ? 1 : 0;
            for (int n = 0; n < Count; n++)
            {
                if (n != Current && _used[n] < _used[space])
                {
                    space = n;
                }
            }
        }

        // While it is current, the processor knows what it is.
        _identifiers[space] = Nothing;
        Current = space;
        return kept;
    }
}
