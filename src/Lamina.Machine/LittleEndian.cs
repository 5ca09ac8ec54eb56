namespace Lamina.Machine;

/// <summary>Register values as the bytes of an access of 1 to 8 bytes.</summary>
public static class LittleEndian
{
    /// <summary>The value of the bytes.</summary>
    public static ulong Get(ReadOnlySpan<byte> data)
    {
        ulong value = 0;
        for (int i = data.Length - 1; i >= 0; i--)
        {
            value = (value << 8) | data[i];
        }

        return value;
    }

    /// <summary>Stores the low bytes of the value.</summary>
    public static void Put(Span<byte> data, ulong value)
    {
        for (int i = 0; i < data.Length; i++)
        {
            data[i] = (byte)value;
            value >>= 8;
        }
    }
}
