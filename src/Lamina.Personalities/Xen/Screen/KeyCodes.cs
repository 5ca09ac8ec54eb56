using Lamina.Machine.Input;

namespace Lamina.Personalities.Xen.Screen;

/// <summary>The numbers that keys have for Linux (include/uapi/linux/input-event-codes.h), by which Xen's keyboard knows them. Those of a keyboard's main part are its make codes in set 1.</summary>
internal static class KeyCodes
{
    private const byte LastPlain = 0x58;

    /// <summary>The number of a key.</summary>
    /// <returns>0 for a key that has none.</returns>
    internal static uint Get(KeyStroke stroke)
    {
        if (!stroke.IsExtended)
        {
            return stroke.Make <= LastPlain ? stroke.Make : 0u;
        }

        return stroke.Make switch
        {
            0x1c => 96,
            0x1d => 97,
            0x35 => 98,
            0x37 => 99,
            0x38 => 100,
            >= 0x47 and <= 0x49 => stroke.Make - 0x47u + 102,
            0x4b => 105,
            0x4d => 106,
            >= 0x4f and <= 0x53 => stroke.Make - 0x4fu + 107,
            >= 0x5b and <= 0x5d => stroke.Make - 0x5bu + 125,
            _ => 0,
        };
    }
}
