using Lamina.Machine.Devices;

namespace Lamina.Tests.Fakes;

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

    /// <summary>Plays it without each of its fields, which must be refused, and with other values there, which may be taken, and are then worked with.</summary>
    /// <param name="restore">Takes a state.</param>
    /// <param name="work">Works with it.</param>
    /// <param name="optional">Fields that states of before did not have.</param>
    public void PlayWithout(Func<StateBag, bool> restore, Action work, params ushort[] optional)
    {
        const int Changes = 10;
        Random random = new(7);
        foreach (ushort field in Integers.Keys.Concat(Bytes.Keys).ToArray())
        {
            Assert.True(restore(Without(field)) == optional.Contains(field), $"A state without the field {field} is taken, or one of before is not.");
            for (int i = 0; i < Changes; i++)
            {
                StateBag changed = Without(field);
                if (!Bytes.TryGetValue(field, out byte[]? before))
                {
                    changed.Write(field, (ulong)random.NextInt64() >> random.Next(64));
                }
                else
                {
                    byte[] bytes = before[..(random.Next(4) == 0 ? random.Next(before.Length + 1) : before.Length)];
                    for (int at = random.Next(bytes.Length + 1); at < bytes.Length; at += random.Next(1, i < 5 ? 2 : bytes.Length))
                    {
                        bytes[at] = (byte)random.Next(256);
                    }

                    changed.Write(field, bytes);
                }

                restore(changed);
                work();
            }
        }
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
