namespace Lamina.Personalities.Scsi;

/// <summary>Sense key, additional sense code and qualifier (SPC-4, sections 4.5.6 and 4.5.8).</summary>
internal readonly record struct SenseCode(byte Key, byte Code, byte Qualifier)
{
    /// <summary>Bytes of <see cref="Write"/>.</summary>
    internal const int Length = 18;

    private const byte FixedFormat = 0x70;

    internal static SenseCode None => default;

    internal static SenseCode ReadError => new(0x3, 0x11, 0x00);

    internal static SenseCode WriteError => new(0x3, 0x0c, 0x00);

    internal static SenseCode InvalidOperation => new(0x5, 0x20, 0x00);

    internal static SenseCode AddressOutOfRange => new(0x5, 0x21, 0x00);

    internal static SenseCode InvalidField => new(0x5, 0x24, 0x00);

    internal static SenseCode NoSuchUnit => new(0x5, 0x25, 0x00);

    internal static SenseCode InvalidParameter => new(0x5, 0x26, 0x00);

    internal static SenseCode ParameterListLength => new(0x5, 0x1a, 0x00);

    internal static SenseCode ResetOccurred => new(0x6, 0x29, 0x00);

    internal static SenseCode CapacityChanged => new(0x6, 0x2a, 0x09);

    internal static SenseCode WriteProtected => new(0x7, 0x27, 0x00);

    /// <summary>Sense data in the fixed format.</summary>
    internal void Write(Span<byte> sense)
    {
        sense[..Length].Clear();
        sense[0] = FixedFormat;
        sense[2] = Key;
        sense[7] = Length - 8;
        sense[12] = Code;
        sense[13] = Qualifier;
    }
}
