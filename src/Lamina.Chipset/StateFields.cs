using Lamina.Machine.Devices;

namespace Lamina.Chipset;

/// <summary>Reads of saved fields that check the width of the register they go to. On <c>false</c> the register is unchanged.</summary>
internal static class StateFields
{
    public static bool TryTake(this IStateReader state, ushort field, ref byte register) => state.TryTake(field, byte.MaxValue, ref register);

    public static bool TryTake(this IStateReader state, ushort field, byte maximum, ref byte register)
    {
        if (!state.TryRead(field, out ulong value) || value > maximum)
        {
            return false;
        }

        register = (byte)value;
        return true;
    }

    public static bool TryTake(this IStateReader state, ushort field, ref ushort register)
    {
        if (!state.TryRead(field, out ulong value) || value > ushort.MaxValue)
        {
            return false;
        }

        register = (ushort)value;
        return true;
    }

    public static bool TryTake(this IStateReader state, ushort field, ref uint register)
    {
        if (!state.TryRead(field, out ulong value) || value > uint.MaxValue)
        {
            return false;
        }

        register = (uint)value;
        return true;
    }

    public static bool TryTake(this IStateReader state, ushort field, ref ulong register)
    {
        if (!state.TryRead(field, out ulong value))
        {
            return false;
        }

        register = value;
        return true;
    }

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

    public static void Write(this IStateWriter state, ushort field, bool value) => state.Write(field, value ? 1UL : 0UL);
}
