using Lamina.Interop.Kvm;
using Lamina.Machine.AddressSpaces;

namespace Lamina.Kvm;

/// <summary>Writes that KVM gathers in a ring (KVM_CAP_COALESCED_MMIO and _PIO), to be done before the next access of another kind.</summary>
internal sealed unsafe class KvmGatheredWrites(KvmMachine machine, AddressSpace space, bool ports) : IAddressSpaceListener
{
    private readonly Lock _lock = new();
    private volatile bool _any;

    /// <inheritdoc/>
    public void OnChanged(AddressMapping mapping)
    {
        // Such windows do not move: they are of the board.
        if (mapping is { Enabled: true, Window: IGatheredWindow } && machine.SetCoalesced(mapping.Address, (uint)mapping.Length, ports) >= 0)
        {
            _any = true;
        }
    }

    /// <summary>Does what was gathered. On a processor's thread.</summary>
    /// <param name="ring">The ring, which all processors of the machine share.</param>
    public void Drain(KvmWriteRing* ring)
    {
        if (!_any || ring == null || ring->First == Volatile.Read(ref ring->Last))
        {
            return;
        }

        lock (_lock)
        {
            while (ring->First != Volatile.Read(ref ring->Last))
            {
                // SAFETY: both indices stay below the ring's length, which is what is left of its page.
                uint first = ring->First % KvmWriteRing.Length;
                KvmGatheredWrite* write = ring->Entries + first;
                int length = (int)Math.Min(write->Length, sizeof(ulong));
                space.Write(write->Address, new ReadOnlySpan<byte>(&write->Data, length));
                Volatile.Write(ref ring->First, (first + 1) % KvmWriteRing.Length);
            }
        }
    }
}
