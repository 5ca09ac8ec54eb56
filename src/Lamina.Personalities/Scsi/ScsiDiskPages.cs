using System.Buffers.Binary;
using Lamina.Machine.Backends;

namespace Lamina.Personalities.Scsi;

/// <summary>What a disk says of itself: inquiry data, vital product data and mode pages (SPC-4, sections 6.4, 7.5 and 7.8; SBC-3, sections 6.4 and 6.5).</summary>
internal sealed class ScsiDiskPages
{
    /// <summary>Longest serial number.</summary>
    internal const int SerialLength = 20;

    /// <summary>Most bytes of inquiry data.</summary>
    internal const int MaximumInquiryLength = 96;

    /// <summary>Most bytes of mode parameters.</summary>
    internal const int MaximumModeLength = 64;

    /// <summary>Most blocks of UNMAP.</summary>
    internal const uint MaximumRange = 1u << 22;

    /// <summary>Most blocks of WRITE SAME. Guests that have seen <see cref="MaximumRange"/> before their machine was saved may ask for that many, of zeroes.</summary>
    internal const uint MaximumSame = 1u << 17;

    private const int InquiryLength = 36;
    private const int PageHeader = 4;
    private const byte SupportedPages = 0x00;
    private const byte UnitSerialNumber = 0x80;
    private const byte DeviceIdentification = 0x83;
    private const byte BlockLimits = 0xb0;
    private const byte BlockDeviceCharacteristics = 0xb1;
    private const byte LogicalBlockProvisioning = 0xb2;
    private const byte CachingPage = 0x08;
    private const byte ControlPage = 0x0a;
    private const byte AllPages = 0x3f;

    private readonly IBlockBackend _backend;
    private readonly byte[] _serial;

    internal ScsiDiskPages(IBlockBackend backend, ReadOnlySpan<byte> serial)
    {
        _backend = backend;
        _serial = serial[..Math.Min(serial.Length, SerialLength)].ToArray();
    }

    private static ReadOnlySpan<byte> Vendor => "Lamina  "u8;

    private bool CanDiscard => _backend.CanDiscard && !_backend.IsReadOnly;

    /// <summary>Standard inquiry data.</summary>
    internal static int WriteInquiry(Span<byte> answer)
    {
        const byte Spc4 = 6;
        const byte ResponseFormat = 2;
        const byte CommandQueueing = 2;
        answer[2] = Spc4;
        answer[3] = ResponseFormat;
        answer[4] = InquiryLength - 5;
        answer[7] = CommandQueueing;
        Vendor.CopyTo(answer[8..]);
        "Virtual disk    "u8.CopyTo(answer[16..]);
        "1.0 "u8.CopyTo(answer[32..]);
        return InquiryLength;
    }

    /// <summary>A page of vital product data.</summary>
    /// <returns>Its length, or 0 if there is none.</returns>
    internal int WriteVitalData(byte page, Span<byte> answer)
    {
        Span<byte> body = answer[PageHeader..];
        int length = page switch
        {
            SupportedPages => WriteSupported(body),
            UnitSerialNumber => WriteSerial(body),
            DeviceIdentification => WriteIdentification(body),
            BlockLimits => WriteLimits(body),
            BlockDeviceCharacteristics => WriteCharacteristics(body),
            LogicalBlockProvisioning => WriteProvisioning(body),
            _ => 0,
        };
        answer[1] = page;
        BinaryPrimitives.WriteUInt16BigEndian(answer[2..], (ushort)length);
        return length == 0 ? 0 : PageHeader + length;
    }

    /// <summary>Mode parameters without block descriptors.</summary>
    /// <returns>Their length, or 0 if there is no such page.</returns>
    internal int WriteModePages(byte page, bool isLong, bool changeable, Span<byte> answer)
    {
        const byte WriteProtect = 0x80;
        const byte WriteCache = 0x04;
        int header = isLong ? 8 : 4;
        int length = header;
        if (page is CachingPage or AllPages)
        {
            answer[length] = CachingPage;
            answer[length + 1] = 18;
            answer[length + 2] = changeable ? (byte)0 : WriteCache;
            length += 20;
        }

        if (page is ControlPage or AllPages)
        {
            answer[length] = ControlPage;
            answer[length + 1] = 10;
            length += 12;
        }

        byte parameter = _backend.IsReadOnly ? WriteProtect : (byte)0;
        if (isLong)
        {
            BinaryPrimitives.WriteUInt16BigEndian(answer, (ushort)(length - 2));
            answer[3] = parameter;
        }
        else
        {
            answer[0] = (byte)(length - 1);
            answer[2] = parameter;
        }

        return length == header ? 0 : length;
    }

    private static int WriteSupported(Span<byte> body)
    {
        ReadOnlySpan<byte> pages = [SupportedPages, UnitSerialNumber, DeviceIdentification, BlockLimits, BlockDeviceCharacteristics, LogicalBlockProvisioning];
        pages.CopyTo(body);
        return pages.Length;
    }

    private static int WriteCharacteristics(Span<byte> body)
    {
        // Not a rotating medium.
        body[1] = 1;
        return 60;
    }

    private int WriteSerial(Span<byte> body)
    {
        _serial.CopyTo(body);
        return Math.Max(_serial.Length, 1);
    }

    // A name by vendor and serial number.
    private int WriteIdentification(Span<byte> body)
    {
        const byte Ascii = 2;
        const byte ByVendor = 1;
        body[0] = Ascii;
        body[1] = ByVendor;
        body[3] = (byte)(Vendor.Length + _serial.Length);
        Vendor.CopyTo(body[4..]);
        _serial.CopyTo(body[(4 + Vendor.Length)..]);
        return 4 + Vendor.Length + _serial.Length;
    }

    private int WriteLimits(Span<byte> body)
    {
        uint preferred = _backend.PreferredBlock / 512;

        // Offsets in the page less its header. A transfer has at most as many pieces as a request has places, each perhaps a page.
        const uint MaximumTransfer = (ScsiRequest.MaximumBuffers - 1) * 8;
        BinaryPrimitives.WriteUInt16BigEndian(body[2..], (ushort)Math.Min(preferred, ushort.MaxValue));
        BinaryPrimitives.WriteUInt32BigEndian(body[4..], MaximumTransfer);
        if (CanDiscard)
        {
            BinaryPrimitives.WriteUInt32BigEndian(body[16..], MaximumRange);
            BinaryPrimitives.WriteUInt32BigEndian(body[20..], 1);
            BinaryPrimitives.WriteUInt32BigEndian(body[24..], preferred);
        }

        BinaryPrimitives.WriteUInt64BigEndian(body[32..], MaximumSame);
        return 60;
    }

    private int WriteProvisioning(Span<byte> body)
    {
        const byte UnmapAndWriteSame = 0x80 | 0x40 | 0x20;
        const byte Thin = 2;
        if (CanDiscard)
        {
            body[1] = UnmapAndWriteSame;
            body[2] = Thin;
        }

        return 4;
    }
}
