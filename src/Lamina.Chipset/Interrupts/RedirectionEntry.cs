namespace Lamina.Chipset.Interrupts;

/// <summary>One entry of the I/O redirection table (82093AA datasheet, section 3.2.4).</summary>
internal struct RedirectionEntry
{
    private const ulong DeliveryPending = 1 << 12;
    private const ulong ActiveLowBit = 1 << 13;
    private const ulong RemoteRequestBit = 1 << 14;
    private const ulong LevelBit = 1 << 15;
    private const ulong MaskBit = 1 << 16;
    private const ulong WritableBits = 0xff00_0000_0001_afff;

    /// <summary>The state after reset: masked.</summary>
    public const ulong AfterReset = MaskBit;

    /// <summary>All bits that exist but the delivery status.</summary>
    public const ulong AllBits = WritableBits | RemoteRequestBit;

    public ulong Value;

    public readonly byte Vector => (byte)Value;

    public readonly bool IsMasked => (Value & MaskBit) != 0;

    public readonly bool IsActiveLow => (Value & ActiveLowBit) != 0;

    public readonly DeliveryMode Mode => (DeliveryMode)((Value >> 8) & 7);

    /// <summary>Level triggered; the modes other than fixed and lowest-priority are always edges.</summary>
    public readonly bool IsLevel => (Value & LevelBit) != 0 && (Mode is DeliveryMode.Fixed or DeliveryMode.LowestPriority);

    public bool RemoteRequest
    {
        readonly get => (Value & RemoteRequestBit) != 0;
        set => Value = value ? Value | RemoteRequestBit : Value & ~RemoteRequestBit;
    }

    public readonly InterruptMessage Message
    {
        get
        {
            bool logical = (Value & 0x800) != 0;
            return new InterruptMessage(InterruptMessage.WidenDestination((uint)(Value >> 56), logical), logical, Mode, Vector, IsLevel);
        }
    }

    /// <summary>Whether only bits that exist are set.</summary>
    public readonly bool IsValid => (Value & ~(WritableBits | DeliveryPending | RemoteRequestBit)) == 0;

    /// <summary>The guest writes one half.</summary>
    public void Write(bool high, uint value)
    {
        ulong written = high ? (Value & uint.MaxValue) | ((ulong)value << 32) : (Value & 0xffff_ffff_0000_0000) | value;
        Value = (written & WritableBits) | (Value & (DeliveryPending | RemoteRequestBit));
        if ((Value & LevelBit) == 0)
        {
            // Going to edge and back is how system software clears a stuck remote IRR.
            RemoteRequest = false;
        }
    }
}
