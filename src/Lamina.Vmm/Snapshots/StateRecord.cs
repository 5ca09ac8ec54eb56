using Lamina.Machine.Devices;

namespace Lamina.Vmm.Snapshots;

/// <summary>The saved fields of one device or processor.</summary>
internal sealed class StateRecord(string name, uint version) : IStateWriter, IStateReader
{
    private readonly SortedDictionary<ushort, ulong> _integers = [];
    private readonly SortedDictionary<ushort, byte[]> _bytes = [];

    /// <summary>Whose they are.</summary>
    internal string Name { get; } = name;

    /// <summary>The version of the fields' meaning. New fields do not change it.</summary>
    internal uint Version { get; } = version;

    /// <summary>The integer fields.</summary>
    internal IReadOnlyDictionary<ushort, ulong> Integers => _integers;

    /// <summary>The fields of bytes.</summary>
    internal IReadOnlyDictionary<ushort, byte[]> Bytes => _bytes;

    /// <inheritdoc/>
    public void Write(ushort field, ulong value) => _integers[field] = value;

    /// <inheritdoc/>
    public void Write(ushort field, ReadOnlySpan<byte> value) => _bytes[field] = value.ToArray();

    /// <inheritdoc/>
    public bool TryRead(ushort field, out ulong value) => _integers.TryGetValue(field, out value);

    /// <inheritdoc/>
    public int TryRead(ushort field, Span<byte> destination)
    {
        if (!_bytes.TryGetValue(field, out byte[]? value) || value.Length > destination.Length)
        {
            return -1;
        }

        value.CopyTo(destination);
        return value.Length;
    }

    /// <summary>A field of bytes, of any length; null if there is none.</summary>
    internal byte[]? Find(ushort field) => _bytes.GetValueOrDefault(field);
}
