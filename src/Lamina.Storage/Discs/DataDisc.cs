using System.Buffers.Binary;
using System.Text;

namespace Lamina.Storage.Discs;

/// <summary>
/// Writes discs with a few files in their root directory: ISO 9660 (ECMA-119) with a second directory of long names (Joliet). The same files give the same bytes.
/// </summary>
public static class DataDisc
{
    private const int Sector = 2048;
    private const int PrimarySector = 16;
    private const int JolietSector = 17;
    private const int TerminatorSector = 18;
    private const int PathTableSector = 19;
    private const uint DirectorySector = 23;
    private const uint JolietDirectorySector = 24;
    private const int FirstFileSector = 25;
    private const int PathTableLength = 10;
    private const int MaximumLabel = 16;
    private const byte DirectoryFlag = 2;

    /// <summary>Makes a disc.</summary>
    /// <param name="label">Its label, at most 16 characters of ASCII.</param>
    /// <param name="files">Names of at most 30 characters of ASCII, in ascending order, and contents.</param>
    /// <exception cref="ArgumentException">A name is too long, or there are too many.</exception>
    public static byte[] Create(string label, IReadOnlyList<(string Name, byte[] Content)> files)
    {
        ArgumentNullException.ThrowIfNull(label);
        ArgumentNullException.ThrowIfNull(files);
        if (label.Length > MaximumLabel || !Ascii.IsValid(label) || files.Any(f => f.Name.Length is 0 or > 30 || !Ascii.IsValid(f.Name)))
        {
            throw new ArgumentException("A name is too long, or not ASCII.", nameof(files));
        }

        uint[] places = new uint[files.Count];
        uint next = FirstFileSector;
        for (int i = 0; i < files.Count; i++)
        {
            places[i] = next;
            next += (uint)((files[i].Content.Length + Sector - 1) / Sector);
        }

        byte[] disc = new byte[next * Sector];
        WriteVolume(disc.AsSpan(PrimarySector * Sector, Sector), label, next, joliet: false);
        WriteVolume(disc.AsSpan(JolietSector * Sector, Sector), label, next, joliet: true);
        WriteStart(disc.AsSpan(TerminatorSector * Sector), 255);
        for (int i = 0; i < 4; i++)
        {
            WritePathTable(disc.AsSpan((PathTableSector + i) * Sector), i < 2 ? DirectorySector : JolietDirectorySector, bigEndian: i % 2 != 0);
        }

        WriteDirectory(disc.AsSpan((int)DirectorySector * Sector, Sector), DirectorySector, files, places, joliet: false);
        WriteDirectory(disc.AsSpan((int)JolietDirectorySector * Sector, Sector), JolietDirectorySector, files, places, joliet: true);
        for (int i = 0; i < files.Count; i++)
        {
            files[i].Content.CopyTo(disc, places[i] * Sector);
        }

        return disc;
    }

    private static void WriteStart(Span<byte> descriptor, byte type)
    {
        descriptor[0] = type;
        "CD001"u8.CopyTo(descriptor[1..]);
        descriptor[6] = 1;
    }

    // ECMA-119, 8.4 and 8.5.
    private static void WriteVolume(Span<byte> volume, string label, uint sectors, bool joliet)
    {
        WriteStart(volume, (byte)(joliet ? 2 : 1));
        WriteText(volume[8..40], "", joliet);
        WriteText(volume[40..72], label, joliet);
        WriteBoth(volume[80..], sectors);
        if (joliet)
        {
            // UCS-2, level 3.
            "%/E"u8.CopyTo(volume[88..]);
        }

        WriteBoth16(volume[120..], 1);
        WriteBoth16(volume[124..], 1);
        WriteBoth16(volume[128..], Sector);
        WriteBoth(volume[132..], PathTableLength);
        int tables = PathTableSector + (joliet ? 2 : 0);
        BinaryPrimitives.WriteUInt32LittleEndian(volume[140..], (uint)tables);
        BinaryPrimitives.WriteUInt32BigEndian(volume[148..], (uint)tables + 1);
        WriteRecord(volume[156..], [0], joliet ? JolietDirectorySector : DirectorySector, Sector, DirectoryFlag);
        WriteText(volume[190..318], "", joliet);
        WriteText(volume[318..446], "", joliet);
        WriteText(volume[446..574], "", joliet);
        WriteText(volume[574..702], "", joliet);
        WriteText(volume[702..813], "", joliet);
        for (int date = 813; date < 881; date += 17)
        {
            // Not specified: sixteen digits zero.
            volume.Slice(date, 16).Fill((byte)'0');
        }

        volume[881] = 1;
    }

    private static void WritePathTable(Span<byte> table, uint directory, bool bigEndian)
    {
        table[0] = 1;
        if (bigEndian)
        {
            BinaryPrimitives.WriteUInt32BigEndian(table[2..], directory);
            BinaryPrimitives.WriteUInt16BigEndian(table[6..], 1);
        }
        else
        {
            BinaryPrimitives.WriteUInt32LittleEndian(table[2..], directory);
            BinaryPrimitives.WriteUInt16LittleEndian(table[6..], 1);
        }
    }

    private static void WriteDirectory(Span<byte> directory, uint place, IReadOnlyList<(string Name, byte[] Content)> files, uint[] places, bool joliet)
    {
        int at = WriteRecord(directory, [0], place, Sector, DirectoryFlag);
        at += WriteRecord(directory[at..], [1], place, Sector, DirectoryFlag);
        for (int i = 0; i < files.Count; i++)
        {
            byte[] name = joliet ? Encoding.BigEndianUnicode.GetBytes(files[i].Name) : Encoding.ASCII.GetBytes(GetPlainName(files[i].Name));
            if (at + 34 + name.Length > directory.Length)
            {
                throw new ArgumentException("There are too many files for one directory.", nameof(files));
            }

            at += WriteRecord(directory[at..], name, places[i], (uint)files[i].Content.Length, 0);
        }
    }

    // Upper case, digits and underscores, a dot, and a version.
    private static string GetPlainName(string name)
    {
        string plain = string.Concat(name.ToUpperInvariant().Select(c => char.IsAsciiLetterOrDigit(c) || c == '.' ? c : '_'));
        return plain.Contains('.', StringComparison.Ordinal) ? $"{plain};1" : $"{plain}.;1";
    }

    // ECMA-119, 9.1.
    private static int WriteRecord(Span<byte> record, ReadOnlySpan<byte> name, uint place, uint length, byte flags)
    {
        int size = (33 + name.Length + 1) & ~1;
        record[0] = (byte)size;
        WriteBoth(record[2..], place);
        WriteBoth(record[10..], length);
        record[19] = 1;
        record[20] = 1;
        record[25] = flags;
        WriteBoth16(record[28..], 1);
        record[32] = (byte)name.Length;
        name.CopyTo(record[33..]);
        return size;
    }

    private static void WriteText(Span<byte> field, string text, bool joliet)
    {
        if (!joliet)
        {
            field.Fill((byte)' ');
            Encoding.ASCII.GetBytes(text, field);
            return;
        }

        for (int i = 0; i + 1 < field.Length; i += 2)
        {
            BinaryPrimitives.WriteUInt16BigEndian(field[i..], i / 2 < text.Length ? text[i / 2] : ' ');
        }
    }

    private static void WriteBoth(Span<byte> field, uint value)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(field, value);
        BinaryPrimitives.WriteUInt32BigEndian(field[4..], value);
    }

    private static void WriteBoth16(Span<byte> field, ushort value)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(field, value);
        BinaryPrimitives.WriteUInt16BigEndian(field[2..], value);
    }
}
