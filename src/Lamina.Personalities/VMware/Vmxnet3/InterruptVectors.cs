using Lamina.Machine.Devices;
using Lamina.Machine.Pci;

namespace Lamina.Personalities.VMware.Vmxnet3;

/// <summary>The card's interrupts: each may be masked by the driver, or by itself when it is sent, and is remembered meanwhile. Without MSI-X all share a line.</summary>
internal sealed class InterruptVectors(PciFunction function, MsixTable msix)
{
    /// <summary>How many there are.</summary>
    internal const int Count = 25;

    private const uint AllBits = (1u << Count) - 1;
    private uint _masked = AllBits;
    private uint _pending;

    /// <summary>Whether a vector masks itself.</summary>
    internal bool AutoMask { get; set; }

    internal void Reset()
    {
        _masked = AllBits;
        _pending = 0;
        AutoMask = false;
        function.SetInterrupt(false);
    }

    /// <summary>Sends one, or remembers it.</summary>
    internal void Raise(int vector)
    {
        if ((uint)vector >= Count)
        {
            return;
        }

        uint bit = 1u << vector;
        if ((_masked & bit) != 0)
        {
            _pending |= bit;
            return;
        }

        _masked |= AutoMask ? bit : 0;
        if (msix.IsEnabled)
        {
            msix.Raise(vector);
        }
        else
        {
            function.SetInterrupt(true);
        }
    }

    /// <summary>The driver masks one, or unmasks it.</summary>
    internal void SetMask(int vector, bool masked)
    {
        if ((uint)vector >= Count)
        {
            return;
        }

        uint bit = 1u << vector;
        _masked = masked ? _masked | bit : _masked & ~bit;
        if (!masked && (_pending & bit) != 0)
        {
            _pending &= ~bit;
            Raise(vector);
        }
    }

    internal void Save(IStateWriter state, ushort field)
    {
        state.Write(field, (ulong)_masked);
        state.Write((ushort)(field + 1), (ulong)_pending);
        state.Write((ushort)(field + 2), AutoMask);
    }

    internal bool Restore(IStateReader state, ushort field)
    {
        bool autoMask = false;
        bool valid = state.TryTake(field, ref _masked) & state.TryTake((ushort)(field + 1), ref _pending) & state.TryTake((ushort)(field + 2), ref autoMask);
        AutoMask = autoMask;
        return valid && ((_masked | _pending) & ~AllBits) == 0;
    }
}
