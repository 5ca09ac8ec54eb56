using System.Numerics;
using Lamina.Interop;
using Lamina.Interop.Kvm;
using Lamina.Machine.Memory;

namespace Lamina.Kvm;

/// <summary>Which pages processors have written: KVM's rings, or its bitmaps.</summary>
internal sealed partial class KvmPartition
{
    private readonly List<KvmDirtyRing> _rings = [];
    private readonly Lock _ringLock = new();
    private ulong _early;
    private bool _tracks;

    /// <summary>Whether pages are logged in rings.</summary>
    public bool HasDirtyRings => _ringEntries != 0;

    /// <summary>Marks the pages that processors have written since the last call as <see cref="PageAttributes.Dirty"/>. Writes since then may come with the next call.</summary>
    /// <returns>How many entries of the log there were.</returns>
    /// <exception cref="SystemCallException">The host refuses, or the log is off.</exception>
    public ulong CollectDirtyPages() => HasDirtyRings ? HarvestRings() + TakeEarly() : CollectBitmaps();

    /// <inheritdoc/>
    public void TrackWrites()
    {
        SetDirtyLog(true);
        _tracks = true;
    }

    /// <inheritdoc/>
    public void CollectWrites()
    {
        if (_tracks)
        {
            CollectDirtyPages();
        }
    }

    /// <summary>A ring is full: makes room. On the processor's thread.</summary>
    public void MakeRoomInRings()
    {
        ulong count = HarvestRings();
        lock (_ringLock)
        {
            _early += count;
        }
    }

    private ulong TakeEarly()
    {
        lock (_ringLock)
        {
            (ulong early, _early) = (_early, 0);
            return early;
        }
    }

    private ulong HarvestRings()
    {
        lock (_ringLock)
        {
            ulong count = 0;
            foreach (KvmDirtyRing ring in _rings)
            {
                while (ring.TryTake(out uint slot, out ulong page))
                {
                    if (slot < (uint)Settings.Memory.Regions.Length)
                    {
                        Settings.Memory.AddPageAttributes(Settings.Memory.Regions[(int)slot].Address + (page * GuestMemory.PageSize), PageAttributes.Dirty);
                    }

                    count++;
                }
            }

            // Not before their attributes are there: then the pages are protected again.
            return _machine.ResetDirtyRings() is var error and < 0 ? throw new SystemCallException(KvmRequest.GetName(KvmRequest.ResetDirtyRings), -error) : count;
        }
    }

    private ulong CollectBitmaps()
    {
        ulong count = 0;
        for (int n = 0; n < Settings.Memory.Regions.Length; n++)
        {
            GuestMemoryRegion region = Settings.Memory.Regions[n];
            ulong[] bits = new ulong[((region.Length / GuestMemory.PageSize) + 63) / 64];
            _machine.GetDirtyLog((uint)n, bits);
            for (int word = 0; word < bits.Length; word++)
            {
                for (ulong rest = bits[word]; rest != 0; rest &= rest - 1)
                {
                    ulong page = ((ulong)word * 64) + (ulong)BitOperations.TrailingZeroCount(rest);
                    Settings.Memory.AddPageAttributes(region.Address + (page * GuestMemory.PageSize), PageAttributes.Dirty);
                    count++;
                }
            }
        }

        return count;
    }
}
