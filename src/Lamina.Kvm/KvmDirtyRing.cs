using Lamina.Interop.Kvm;

namespace Lamina.Kvm;

/// <summary>The ring in which KVM notes the pages that one processor writes.</summary>
internal sealed unsafe class KvmDirtyRing(KvmVirtualProcessor processor)
{
    /// <summary>Entries of a ring.</summary>
    public const int Entries = 4096;

    /// <summary>Bytes of an entry.</summary>
    public const int EntrySize = 16;

    private readonly KvmDirtyPage* _ring = processor.MapDirtyRing(Entries);
    private uint _next;

    /// <summary>Takes the next page. One thread at a time.</summary>
    /// <returns><c>false</c> if there is none.</returns>
    public bool TryTake(out uint slot, out ulong page)
    {
        // SAFETY: the index stays inside the ring. KVM fills an entry in before it sets the flag, and looks at it again when we have set ours.
        KvmDirtyPage* entry = _ring + (_next % Entries);
        if ((Volatile.Read(ref entry->Flags) & KvmDirtyPage.Dirty) == 0)
        {
            slot = 0;
            page = 0;
            return false;
        }

        slot = entry->Slot;
        page = entry->Page;
        Volatile.Write(ref entry->Flags, KvmDirtyPage.Harvested);
        _next++;
        return true;
    }
}
