namespace Lamina.Machine.Interrupts;

/// <summary>State of one counter of the 8254 (Intel 82C54 datasheet, order number 231244).</summary>
public struct CounterState
{
    /// <summary>Mode, 0 to 5.</summary>
    public byte Mode;

    /// <summary>Which bytes are read and written: 1 the low one, 2 the high one, 3 both.</summary>
    public byte Access;

    /// <summary>Decimal.</summary>
    public bool Decimal;

    /// <summary>GATE.</summary>
    public bool Gate;

    /// <summary>A count was loaded since the mode was set.</summary>
    public bool Loaded;

    /// <summary>The count, 1 to 65536.</summary>
    public uint Count;

    /// <summary>Nanoseconds since it was loaded.</summary>
    public ulong Elapsed;

    /// <summary>The next byte written is the high one.</summary>
    public bool WriteHigh;

    /// <summary>The low byte written before.</summary>
    public byte WrittenLow;

    /// <summary>The next byte read is the high one.</summary>
    public bool ReadHigh;

    /// <summary>A count is latched.</summary>
    public bool Latched;

    /// <summary>It.</summary>
    public ushort LatchedCount;

    /// <summary>A status is latched.</summary>
    public bool StatusLatched;

    /// <summary>It.</summary>
    public byte LatchedStatus;
}
