using System.Buffers.Binary;
using System.Text;

namespace Lamina.Boot.Acpi;

/// <summary>Builds one table with the standard header (ACPI 6.5, section 5.2.6).</summary>
internal sealed class AcpiTable
{
    public const int HeaderLength = 36;

    private const int LengthOffset = 4;
    private const int ChecksumOffset = 9;
    private const string OemId = "LAMINA";
    private const string OemTableId = "LAMINAPC";

    private readonly List<byte> _bytes = [];

    public AcpiTable(string signature, byte revision)
    {
        Text(signature).Integer(0, 4).Integer(revision, 1).Integer(0, 1);
        Text(OemId).Text(OemTableId).Integer(1, 4).Text("LMNA").Integer(1, 4);
    }

    public AcpiTable Integer(ulong value, int length)
    {
        for (int i = 0; i < length; i++)
        {
            _bytes.Add((byte)(value >> (8 * i)));
        }

        return this;
    }

    public AcpiTable Text(string text)
    {
        _bytes.AddRange(Encoding.ASCII.GetBytes(text));
        return this;
    }

    public AcpiTable Bytes(ReadOnlySpan<byte> bytes)
    {
        _bytes.AddRange(bytes);
        return this;
    }

    /// <summary>Generic address structure (section 5.2.3.2).</summary>
    public AcpiTable Address(AddressSpaceId space, byte width, byte accessSize, ulong address)
    {
        return Integer((byte)space, 1).Integer(width, 1).Integer(0, 1).Integer(accessSize, 1).Integer(address, 8);
    }

    /// <summary>The bytes, with length and checksum.</summary>
    public byte[] Build()
    {
        byte[] table = [.. _bytes];
        BinaryPrimitives.WriteInt32LittleEndian(table.AsSpan(LengthOffset), table.Length);
        table[ChecksumOffset] = Checksum(table);
        return table;
    }

    /// <summary>The byte that makes the sum of all of them 0.</summary>
    public static byte Checksum(ReadOnlySpan<byte> bytes)
    {
        byte sum = 0;
        foreach (byte value in bytes)
        {
            sum += value;
        }

        return (byte)-sum;
    }
}
