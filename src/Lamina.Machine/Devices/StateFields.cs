namespace Lamina.Machine.Devices;

/// <summary>Reads of saved fields that check the width of the register they go to. On <c>false</c> the register is unchanged.</summary>
public static class StateFields
{
    /// <summary>Reads a register of 8 bits.</summary>
    public static bool TryTake(this IStateReader state, ushort field, ref byte register) => state.TryTake(field, byte.MaxValue, ref register);

    /// <summary>Reads a register whose values go up to <paramref name="maximum"/>.</summary>
    public static bool TryTake(this IStateReader state, ushort field, byte maximum, ref byte register)
    {
        if (!state.TryRead(field, out ulong value) || value > maximum)
        {
            return false;
        }

        register = (byte)value;
        return true;
    }

    /// <summary>Reads a register of 16 bits.</summary>
    public static bool TryTake(this IStateReader state, ushort field, ref ushort register)
    {
        if (!state.TryRead(field, out ulong value) || value > ushort.MaxValue)
        {
            return false;
        }

        register = (ushort)value;
        return true;
    }

    /// <summary>Reads a register of 32 bits.</summary>
    public static bool TryTake(this IStateReader state, ushort field, ref uint register)
    {
        if (!state.TryRead(field, out ulong value) || value > uint.MaxValue)
        {
            return false;
        }

        register = (uint)value;
        return true;
    }

    /// <summary>Reads a register of 64 bits.</summary>
    public static bool TryTake(this IStateReader state, ushort field, ref ulong register)
    {
        if (!state.TryRead(field, out ulong value))
        {
            return false;
        }

        register = value;
        return true;
    }

    /// <summary>Reads a flag.</summary>
    public static bool TryTake(this IStateReader state, ushort field, ref bool register)
    {
        if (!state.TryRead(field, out ulong value) || value > 1)
        {
            return false;
        }

        register = value != 0;
        return true;
    }

    /// <summary>Reads bytes that must fill the whole register file.</summary>
    public static bool TryTake(this IStateReader state, ushort field, Span<byte> registers)
    {
        return state.TryRead(field, registers) == registers.Length;
    }

    /// <summary>Writes a flag.</summary>
    public static void Write(this IStateWriter state, ushort field, bool value) => state.Write(field, value ? 1UL : 0UL);
}
