using System.Buffers.Binary;
using System.Text;

namespace Lamina.Vmm.Snapshots;

/// <summary>
/// Records as bytes: "LAMSTATE", the number of records, and for each its name (length in 2 bytes), version (4), number of fields (4), and the fields: number (2), kind (1: an integer
/// or bytes), and the integer (8), or the length (4) and the bytes. Little-endian.
/// </summary>
internal static class StateArchive
{
    private const int MaximumRecords = 4096;
    private const int MaximumFields = 2 << 16;
    private const byte IntegerKind = 0;
    private const byte BytesKind = 1;

    private static ReadOnlySpan<byte> Signature => "LAMSTATE"u8;

    /// <summary>Writes records.</summary>
    internal static byte[] Write(IReadOnlyList<StateRecord> records)
    {
        using MemoryStream stream = new();
        using BinaryWriter writer = new(stream);
        writer.Write(Signature);
        writer.Write(records.Count);
        foreach (StateRecord record in records)
        {
            byte[] name = Encoding.UTF8.GetBytes(record.Name);
            writer.Write((ushort)name.Length);
            writer.Write(name);
            writer.Write(record.Version);
            writer.Write(record.Integers.Count + record.Bytes.Count);
            foreach ((ushort field, ulong value) in record.Integers)
            {
                writer.Write(field);
                writer.Write(IntegerKind);
                writer.Write(value);
            }

            foreach ((ushort field, byte[] value) in record.Bytes)
            {
                writer.Write(field);
                writer.Write(BytesKind);
                writer.Write(value.Length);
                writer.Write(value);
            }
        }

        writer.Flush();
        return stream.ToArray();
    }

    /// <summary>Reads records, from whoever wrote them.</summary>
    /// <returns>They, by name; null if this is no such archive.</returns>
    internal static Dictionary<string, StateRecord>? Read(ReadOnlySpan<byte> data)
    {
        if (!data.StartsWith(Signature))
        {
            return null;
        }

        data = data[Signature.Length..];
        if (!TryTakeInteger(ref data, out int count) || count is < 0 or > MaximumRecords)
        {
            return null;
        }

        Dictionary<string, StateRecord> records = [];
        for (int i = 0; i < count; i++)
        {
            if (ReadRecord(ref data) is not { } record || !records.TryAdd(record.Name, record))
            {
                return null;
            }
        }

        return data.IsEmpty ? records : null;
    }

    private static StateRecord? ReadRecord(ref ReadOnlySpan<byte> data)
    {
        if (!TryTake(ref data, sizeof(ushort), out ReadOnlySpan<byte> length)
            || !TryTake(ref data, BinaryPrimitives.ReadUInt16LittleEndian(length), out ReadOnlySpan<byte> name)
            || !TryTakeInteger(ref data, out int version)
            || !TryTakeInteger(ref data, out int fields)
            || fields is < 0 or > MaximumFields)
        {
            return null;
        }

        StateRecord record = new(Encoding.UTF8.GetString(name), (uint)version);
        for (int i = 0; i < fields; i++)
        {
            if (!TryTake(ref data, sizeof(ushort) + 1, out ReadOnlySpan<byte> head) || !TryReadField(ref data, record, BinaryPrimitives.ReadUInt16LittleEndian(head), head[2]))
            {
                return null;
            }
        }

        return record;
    }

    private static bool TryReadField(ref ReadOnlySpan<byte> data, StateRecord record, ushort field, byte kind)
    {
        switch (kind)
        {
            case IntegerKind when TryTake(ref data, sizeof(ulong), out ReadOnlySpan<byte> integer):
                record.Write(field, BinaryPrimitives.ReadUInt64LittleEndian(integer));
                return true;
            case BytesKind when TryTakeInteger(ref data, out int length) && TryTake(ref data, length, out ReadOnlySpan<byte> bytes):
                record.Write(field, bytes);
                return true;
            default:
                return false;
        }
    }

    private static bool TryTakeInteger(ref ReadOnlySpan<byte> data, out int value)
    {
        bool there = TryTake(ref data, sizeof(int), out ReadOnlySpan<byte> bytes);
        value = there ? BinaryPrimitives.ReadInt32LittleEndian(bytes) : 0;
        return there;
    }

    private static bool TryTake(ref ReadOnlySpan<byte> data, int length, out ReadOnlySpan<byte> taken)
    {
        if (length < 0 || length > data.Length)
        {
            taken = default;
            return false;
        }

        taken = data[..length];
        data = data[length..];
        return true;
    }
}
