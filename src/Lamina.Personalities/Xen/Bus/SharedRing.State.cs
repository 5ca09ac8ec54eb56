using System.Runtime.InteropServices;
using Lamina.Machine.Devices;

namespace Lamina.Personalities.Xen.Bus;

/// <content>The saved state: the pages, and how far requests were taken and answered. What the guest can change in its memory, it may have changed: these indexes are ours.</content>
internal sealed partial class SharedRing
{
    /// <summary>Writes five fields.</summary>
    internal void Save(IStateWriter state, ushort field)
    {
        state.Write(field, MemoryMarshal.AsBytes(_pages.AsSpan(0, _pageCount)));
        state.Write((ushort)(field + 1), (ulong)_requests);
        state.Write((ushort)(field + 2), (ulong)_responses);
        state.Write((ushort)(field + 3), (ulong)_shown);
        state.Write((ushort)(field + 4), IsBroken);
    }

    /// <summary>Reads them.</summary>
    internal bool Restore(IStateReader state, ushort field)
    {
        Close();
        bool broken = false;
        int length = state.TryRead(field, MemoryMarshal.AsBytes(_pages.AsSpan()));
        bool valid = length > 0 && length % sizeof(ulong) == 0 && state.TryTake((ushort)(field + 1), ref _requests) & state.TryTake((ushort)(field + 2), ref _responses)
            & state.TryTake((ushort)(field + 3), ref _shown) & state.TryTake((ushort)(field + 4), ref broken);
        for (int i = 0; i < length / sizeof(ulong) && valid; i++)
        {
            valid = _pages[i] % PageSize == 0 && memory.GetHostAddress(_pages[i], PageSize) != 0;
        }

        if (valid)
        {
            SetSize(length / sizeof(ulong));
            IsBroken = broken;
            valid = _requests - _responses <= Size && _responses - _shown <= Size;
        }

        if (!valid)
        {
            Close();
        }

        return valid;
    }
}
