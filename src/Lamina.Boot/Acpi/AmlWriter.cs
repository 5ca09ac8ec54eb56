using System.Text;

namespace Lamina.Boot.Acpi;

/// <summary>
/// Writes ACPI machine language (ACPI 6.5, chapter 20). Terms that hold others are opened and closed; the package length is put in when a term is closed.
/// </summary>
internal sealed class AmlWriter
{
    private const byte ZeroOp = 0x00;
    private const byte OneOp = 0x01;
    private const byte NameOp = 0x08;
    private const byte BytePrefix = 0x0a;
    private const byte WordPrefix = 0x0b;
    private const byte DWordPrefix = 0x0c;
    private const byte StringPrefix = 0x0d;
    private const byte QWordPrefix = 0x0e;
    private const byte ScopeOp = 0x10;
    private const byte BufferOp = 0x11;
    private const byte PackageOp = 0x12;
    private const byte MethodOp = 0x14;
    private const byte DualNamePrefix = 0x2e;
    private const byte MultiNamePrefix = 0x2f;
    private const byte ExtendedPrefix = 0x5b;
    private const byte OperationRegionOp = 0x80;
    private const byte FieldOp = 0x81;
    private const byte DeviceOp = 0x82;
    private const byte StoreOp = 0x70;
    private const byte AndOp = 0x7b;
    private const byte NotifyOp = 0x86;
    private const byte Serialized = 0x08;
    private const byte DoubleWordsOfZeroes = 0x43; // Accesses of 32 bits; what a field does not cover is written as zero.
    private const byte ArgumentOp = 0x68;
    private const byte OrOp = 0x7d;
    private const byte CreateDWordFieldOp = 0x8a;
    private const byte LogicalNotOp = 0x92;
    private const byte LogicalEqualOp = 0x93;
    private const byte IfOp = 0xa0;
    private const byte ReturnOp = 0xa4;

    private readonly List<byte> _bytes = [];
    private readonly Stack<int> _open = new();

    /// <summary>The code; every term must be closed.</summary>
    public byte[] ToArray()
    {
        return _open.Count == 0 ? [.. _bytes] : throw new InvalidOperationException($"{_open.Count} AML terms are still open.");
    }

    public AmlWriter Scope(string path) => Open(ScopeOp).NameString(path);

    public AmlWriter Device(string name)
    {
        _bytes.Add(ExtendedPrefix);
        return Open(DeviceOp).NameString(name);
    }

    /// <summary>A method, not serialized.</summary>
    public AmlWriter Method(string name, int argumentCount) => Open(MethodOp).NameString(name).Raw((byte)argumentCount);

    /// <summary>A method of which one call runs at a time.</summary>
    public AmlWriter SerializedMethod(string name, int argumentCount) => Open(MethodOp).NameString(name).Raw((byte)(argumentCount | Serialized));

    /// <summary>A region of ports.</summary>
    public AmlWriter PortRegion(string name, ulong address, ulong length)
    {
        return Raw(ExtendedPrefix).Raw(OperationRegionOp).NameString(name).Raw((byte)AddressSpaceId.Io).Integer(address).Integer(length);
    }

    /// <summary>Fields of 32 bits from a region's beginning on.</summary>
    public AmlWriter DoubleWordFields(string region, params ReadOnlySpan<string> names)
    {
        const byte FieldBits = 32;
        Raw(ExtendedPrefix);
        Open(FieldOp).NameString(region).Raw(DoubleWordsOfZeroes);
        foreach (string name in names)
        {
            NameString(name).Raw(FieldBits);
        }

        return Close();
    }

    /// <summary>Puts a value into something; both follow.</summary>
    public AmlWriter Store() => Raw(StoreOp);

    /// <summary>Bitwise and, whose result is only used; two operands follow, then <see cref="NoTarget"/>.</summary>
    public AmlWriter And() => Raw(AndOp);

    /// <summary>A result that is kept nowhere.</summary>
    public AmlWriter NoTarget() => Raw(ZeroOp);

    /// <summary>Tells the operating system of something about a device; the device and the value follow.</summary>
    public AmlWriter Notify() => Raw(NotifyOp);

    public AmlWriter If() => Open(IfOp);

    public AmlWriter Package(int count) => Open(PackageOp).Raw((byte)count);

    /// <summary>Closes the term opened last.</summary>
    public AmlWriter Close()
    {
        int start = _open.Pop();
        int body = _bytes.Count - start;
        _bytes.InsertRange(start, PackageLength(body));
        return this;
    }

    /// <summary>A name, of which the value follows.</summary>
    public AmlWriter Name(string name) => Raw(NameOp).NameString(name);

    /// <summary>A name with an integer.</summary>
    public AmlWriter Name(string name, ulong value) => Name(name).Integer(value);

    /// <summary>The hardware or compatible identifier, compressed (section 19.3.4, EISAID macro).</summary>
    public AmlWriter EisaId(string id)
    {
        uint vendor = ((uint)(id[0] - 0x40) << 10) | ((uint)(id[1] - 0x40) << 5) | (uint)(id[2] - 0x40);
        uint product = Convert.ToUInt32(id[3..], 16);
        uint bigEndian = (vendor << 16) | product;
        Raw(DWordPrefix);
        return Raw((byte)(bigEndian >> 24)).Raw((byte)(bigEndian >> 16)).Raw((byte)(bigEndian >> 8)).Raw((byte)bigEndian);
    }

    public AmlWriter Integer(ulong value)
    {
        return value switch
        {
            0 => Raw(ZeroOp),
            1 => Raw(OneOp),
            <= byte.MaxValue => Raw(BytePrefix).Little(value, 1),
            <= ushort.MaxValue => Raw(WordPrefix).Little(value, 2),
            <= uint.MaxValue => Raw(DWordPrefix).Little(value, 4),
            _ => Raw(QWordPrefix).Little(value, 8),
        };
    }

    public AmlWriter Text(string value)
    {
        Raw(StringPrefix);
        _bytes.AddRange(Encoding.ASCII.GetBytes(value));
        return Raw(0);
    }

    public AmlWriter Buffer(ReadOnlySpan<byte> content)
    {
        Open(BufferOp).Integer((ulong)content.Length);
        _bytes.AddRange(content);
        return Close();
    }

    public AmlWriter Argument(int index) => Raw((byte)(ArgumentOp + index));

    public AmlWriter Return() => Raw(ReturnOp);

    /// <summary>Not equal; two operands follow.</summary>
    public AmlWriter NotEqual() => Raw(LogicalNotOp).Raw(LogicalEqualOp);

    /// <summary>Bitwise or; two operands and the target follow.</summary>
    public AmlWriter Or() => Raw(OrOp);

    /// <summary>A 32-bit field of a buffer; the buffer, the byte index and the name follow.</summary>
    public AmlWriter CreateDWordField() => Raw(CreateDWordFieldOp);

    /// <summary>A path such as "\_SB.PCI0" (section 20.2.2).</summary>
    public AmlWriter NameString(string path)
    {
        if (path[0] == '\\')
        {
            Raw((byte)'\\');
            path = path[1..];
        }

        string[] segments = path.Split('.');
        if (segments.Length == 2)
        {
            Raw(DualNamePrefix);
        }
        else if (segments.Length > 2)
        {
            Raw(MultiNamePrefix).Raw((byte)segments.Length);
        }

        foreach (string segment in segments)
        {
            _bytes.AddRange(Encoding.ASCII.GetBytes(segment.PadRight(4, '_')));
        }

        return this;
    }

    // Section 20.2.4: the length counts its own bytes.
    private static byte[] PackageLength(int body)
    {
        if (body + 1 < 1 << 6)
        {
            return [(byte)(body + 1)];
        }

        int extra = body + 2 < 1 << 12 ? 1 : body + 3 < 1 << 20 ? 2 : 3;
        int length = body + 1 + extra;
        byte[] encoded = new byte[1 + extra];
        encoded[0] = (byte)((extra << 6) | (length & 0xf));
        for (int i = 0; i < extra; i++)
        {
            encoded[i + 1] = (byte)(length >> (4 + (8 * i)));
        }

        return encoded;
    }

    private AmlWriter Open(byte opcode)
    {
        Raw(opcode);
        _open.Push(_bytes.Count);
        return this;
    }

    private AmlWriter Raw(byte value)
    {
        _bytes.Add(value);
        return this;
    }

    private AmlWriter Little(ulong value, int length)
    {
        for (int i = 0; i < length; i++)
        {
            Raw((byte)(value >> (8 * i)));
        }

        return this;
    }
}
