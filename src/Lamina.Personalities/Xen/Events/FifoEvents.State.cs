using System.Runtime.InteropServices;
using Lamina.Machine.Devices;
using Lamina.Machine.Memory;

namespace Lamina.Personalities.Xen.Events;

/// <content>The saved state: where pages and control blocks are, the tails of the queues, and events that have no word yet. The queues are in guest memory.</content>
internal sealed partial class FifoEvents
{
    // As many words as there were for 4096 channels, which is what such versions read.
    private const int FewestSaved = 4096 / BitsPerWord;

    internal void Save(IStateWriter state, ushort field, Func<int, ushort> processorField)
    {
        state.Write(field, MemoryMarshal.AsBytes(_pages.AsSpan(0, (int)_pageCount)));
        int early = _early.AsSpan().LastIndexOfAnyExcept(0u) + 1;
        if (early > 0)
        {
            state.Write((ushort)(field + 1), MemoryMarshal.AsBytes(_early.AsSpan(0, Math.Max(early, FewestSaved))));
        }

        for (int i = 0; i < _controls.Length; i++)
        {
            state.Write(processorField(i), _controls[i]);
            state.Write((ushort)(processorField(i) + 1), MemoryMarshal.AsBytes(_tails.AsSpan(i * QueueCount, QueueCount)));
        }
    }

    /// <summary>Reads what <see cref="Save"/> writes. Without queues there is nothing.</summary>
    internal bool Restore(IStateReader state, ushort field, Func<int, ushort> processorField, bool isUsed)
    {
        Reset();
        Span<ulong> pages = stackalloc ulong[MaximumPages];
        int length = state.TryRead(field, MemoryMarshal.AsBytes(pages));
        bool valid = length >= 0 && length % sizeof(ulong) == 0 && (isUsed || length == 0);
        for (int i = 0; valid && i < length / sizeof(ulong); i++)
        {
            valid = pages[i] % GuestMemory.PageSize == 0 && AddPage(pages[i]) == 0;
        }

        for (int i = 0; valid && i < _controls.Length; i++)
        {
            ulong control = 0;
            valid = state.TryTake(processorField(i), ref control) && (control == 0 || (isUsed && TrySetControl(i, control)))
                && state.TryTake((ushort)(processorField(i) + 1), MemoryMarshal.AsBytes(_tails.AsSpan(i * QueueCount, QueueCount)));
        }

        // Where there is none, nothing waits for its word, and nothing behind its end does.
        Span<byte> early = MemoryMarshal.AsBytes(_early.AsSpan());
        early[Math.Max(state.TryRead((ushort)(field + 1), early), 0)..].Clear();

        foreach (uint tail in _tails)
        {
            valid &= tail == 0 || tail < Capacity;
        }

        if (!valid)
        {
            Reset();
        }

        return valid;
    }
}
