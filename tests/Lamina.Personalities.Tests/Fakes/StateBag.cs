using Lamina.Machine.Devices;

namespace Lamina.Personalities.Tests.Fakes;

/// <summary>Saved fields of one device.</summary>
internal sealed class StateBag : IStateWriter, IStateReader
{
    public Dictionary<ushort, ulong> Integers { get; } = [];

    public Dictionary<ushort, byte[]> Bytes { get; } = [];

    public void Write(ushort field, ulong value)
    {
        Assert.False(Bytes.ContainsKey(field), $"Field {field} is written twice.");
        Assert.True(Integers.TryAdd(field, value), $"Field {field} is written twice.");
    }

    public void Write(ushort field, ReadOnlySpan<byte> value)
    {
        Assert.False(Integers.ContainsKey(field), $"Field {field} is written twice.");
        Assert.True(Bytes.TryAdd(field, value.ToArray()), $"Field {field} is written twice.");
    }

    /// <summary>A copy that lacks a field.</summary>
    public StateBag Without(ushort field)
    {
        StateBag copy = new();
        foreach ((ushort other, ulong value) in Integers.Where(p => p.Key != field))
        {
            copy.Write(other, value);
        }

        foreach ((ushort other, byte[] value) in Bytes.Where(p => p.Key != field))
        {
            copy.Write(other, value);
        }

        return copy;
    }

    public bool TryRead(ushort field, out ulong value) => Integers.TryGetValue(field, out value);

    public int TryRead(ushort field, Span<byte> destination)
    {
        if (!Bytes.TryGetValue(field, out byte[]? value) || value.Length > destination.Length)
        {
            return -1;
        }

        value.CopyTo(destination);
        return value.Length;
    }

    public string Describe()
    {
        return string.Join('\n', Integers.OrderBy(p => p.Key).Select(p => $"{p.Key}={p.Value:x}")
            .Concat(Bytes.OrderBy(p => p.Key).Select(p => $"{p.Key}={Convert.ToHexString(p.Value)}")));
    }
}
