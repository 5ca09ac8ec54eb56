using System.Runtime.InteropServices;

namespace Lamina.Interop.Kvm;

/// <summary><c>struct kvm_pit_channel_state</c>.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmChannel
{
    /// <summary>The count, up to 65536.</summary>
    public uint Count;

    /// <summary>What was latched.</summary>
    public ushort LatchedCount;

    /// <summary>Whether, and which byte of it is next: 1 and 2 the low and the high one alone, 3 the low one and then the high one.</summary>
    public byte Latched;

    /// <summary>A status is latched.</summary>
    public byte StatusLatched;

    /// <summary>It.</summary>
    public byte Status;

    /// <summary>Which byte is read next; 4 is the high one of two.</summary>
    public byte ReadState;

    /// <summary>Which byte is written next.</summary>
    public byte WriteState;

    /// <summary>The low byte written before.</summary>
    public byte WrittenLow;

    /// <summary>Which bytes are read and written.</summary>
    public byte Access;

    /// <summary>Mode; another than 0 to 5 for a counter that nobody has programmed.</summary>
    public byte Mode;

    /// <summary>Decimal.</summary>
    public byte Decimal;

    /// <summary>GATE.</summary>
    public byte Gate;

    /// <summary>When the count was loaded, in nanoseconds of the host's monotonic clock.</summary>
    public long LoadTime;
}
