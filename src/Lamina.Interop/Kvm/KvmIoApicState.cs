using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Lamina.Interop.Kvm;

/// <summary><c>struct kvm_ioapic_state</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmIoApicState
{
    /// <summary>Inputs.</summary>
    public const int PinCount = 24;

    /// <summary>Guest-physical address.</summary>
    public ulong Address;

    /// <summary>Register select.</summary>
    public uint Select;

    /// <summary>Identifier.</summary>
    public uint Id;

    /// <summary>Levels and requests of the inputs.</summary>
    public uint Requests;

    /// <summary>Nothing.</summary>
    public uint Padding;

    private Table _entries;

    /// <summary>The redirection table.</summary>
    public ulong this[int pin]
    {
        readonly get => _entries[pin];
        set => _entries[pin] = value;
    }

    [InlineArray(PinCount)]
    private struct Table
    {
        private ulong _first;
    }
}
