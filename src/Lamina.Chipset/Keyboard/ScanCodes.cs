namespace Lamina.Chipset.Keyboard;

/// <summary>Keys' make codes in the sets 1 and 2, between which the controller translates (IBM PS/2 hardware interface technical reference, "Keyboard").</summary>
internal static class ScanCodes
{
    private const byte LongestFirst = 0x80;

    // The one key of set 2 whose code has the upper bit.
    private const byte F7 = 0x41;
    private const byte SecondF7 = 0x83;
    private const byte SystemRequest = 0x54;
    private const byte SecondSystemRequest = 0x84;

    private static readonly byte[] FromSecond = CreateFromSecond();

    private static ReadOnlySpan<byte> Second =>
    [
        0, 118, 22, 30, 38, 37, 46, 54, 61, 62, 70, 69, 78, 85, 102, 13,
        21, 29, 36, 45, 44, 53, 60, 67, 68, 77, 84, 91, 90, 20, 28, 27,
        35, 43, 52, 51, 59, 66, 75, 76, 82, 14, 18, 93, 26, 34, 33, 42,
        50, 49, 58, 65, 73, 74, 89, 124, 17, 41, 88, 5, 6, 4, 12, 3,
        11, 2, 10, 1, 9, 119, 126, 108, 117, 125, 123, 107, 115, 116, 121, 105,
        114, 122, 112, 113, 127, 96, 97, 120, 7, 15, 23, 31, 39, 47, 55, 63,
        71, 79, 86, 94, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 87, 111,
        19, 25, 57, 81, 83, 92, 95, 98, 99, 100, 101, 103, 104, 106, 109, 110,
    ];

    /// <summary>The code in set 2 of a key whose code in set 1 is below 0x80.</summary>
    public static byte ToSecond(byte code) => code == F7 ? SecondF7 : Second[code];

    /// <summary>What the controller makes of a byte that is a key's in set 2, and of others, which it leaves.</summary>
    public static byte ToFirst(byte code) => code switch
    {
        0 => 0xff,
        SecondF7 => F7,
        SecondSystemRequest => SystemRequest,
        < LongestFirst => FromSecond[code],
        _ => code,
    };

    private static byte[] CreateFromSecond()
    {
        byte[] table = new byte[LongestFirst];
        for (int i = 1; i < LongestFirst; i++)
        {
            table[Second[i]] = (byte)i;
        }

        return table;
    }
}
