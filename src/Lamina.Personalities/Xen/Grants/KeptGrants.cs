using System.Numerics;
using System.Runtime.InteropServices;
using Lamina.Machine.Devices;

namespace Lamina.Personalities.Xen.Grants;

/// <summary>
/// Grants that a back end shows as in use from their first use until the device is closed ("persistent grants", xen/include/public/io/blkif.h), so that the front end need not end and renew them. Each use looks its
/// grant up all the same: what is kept is only what the guest sees. With the device's lock held.
/// </summary>
internal sealed class KeptGrants(GrantTable grants)
{
    private const int BitsPerWord = 64;
    private readonly ulong[] _kept = new ulong[GrantTable.MaximumEntries / BitsPerWord];

    /// <summary>Whether the front end keeps its grants, too; if not, none is shown as in use.</summary>
    internal bool IsOn { get; set; }

    /// <summary>Looks a grant up and keeps it.</summary>
    /// <inheritdoc cref="GrantTable.TryUse"/>
    internal bool TryGet(uint reference, bool write, out ulong address, out nint host)
    {
        if (!IsOn)
        {
            return grants.TryGet(reference, write, out address, out host);
        }

        bool there = grants.TryUse(reference, write, out address, out host);
        if (there)
        {
            _kept[reference / BitsPerWord] |= 1UL << (int)(reference % BitsPerWord);
        }

        return there;
    }

    /// <summary>Shows all of them as no longer in use: nothing touches the pages any more.</summary>
    internal void Release()
    {
        IsOn = false;
        for (int word = 0; word < _kept.Length; word++)
        {
            for (ulong bits = _kept[word]; bits != 0; bits &= bits - 1)
            {
                grants.EndUse((uint)((word * BitsPerWord) + BitOperations.TrailingZeroCount(bits)));
            }

            _kept[word] = 0;
        }
    }

    /// <summary>Writes a field, if grants are kept.</summary>
    internal void Save(IStateWriter state, ushort field)
    {
        if (IsOn)
        {
            state.Write(field, MemoryMarshal.AsBytes(_kept.AsSpan()));
        }
    }

    /// <summary>Reads it. A state without it, such as one of a machine that did not offer this, has none.</summary>
    internal bool Restore(IStateReader state, ushort field)
    {
        int length = state.TryRead(field, MemoryMarshal.AsBytes(_kept.AsSpan()));
        IsOn = length == _kept.Length * sizeof(ulong);
        if (!IsOn)
        {
            Array.Clear(_kept);
        }

        return IsOn || length < 0;
    }
}
