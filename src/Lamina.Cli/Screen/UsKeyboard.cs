using Lamina.Machine.Input;

namespace Lamina.Cli.Screen;

/// <summary>Text as it is typed on a keyboard that the guest takes for an American one.</summary>
internal static class UsKeyboard
{
    /// <summary>Most characters of a text.</summary>
    public const int MaximumLength = 4096;

    private const ushort Shift = 0x2a;
    private const ushort FirstCode = 2;

    // From the key of the digit 1 on, by their codes; a zero for a key that makes none.
    private const string Plain = "1234567890-=\b\tqwertyuiop[]\n\0asdfghjkl;'`\0\\zxcvbnm,./\0\0\0 ";
    private const string Shifted = "!@#$%^&*()_+\0\0QWERTYUIOP{}\0\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0\0\0\0";

    /// <summary>Reads a text. A line feed or carriage return is the key Enter, an escape the key Esc.</summary>
    /// <exception cref="FormatException">It has a character that such a keyboard has not, or is too long; the message says which.</exception>
    public static IReadOnlyList<KeyStroke> Parse(string text)
    {
        if (text.Length > MaximumLength)
        {
            throw new FormatException($"A text that is typed has at most {MaximumLength} characters, and this one has {text.Length}.");
        }

        List<KeyStroke> strokes = [];
        foreach (char character in text.ReplaceLineEndings("\n"))
        {
            (ushort code, bool shift) = Find(character);
            if (shift)
            {
                strokes.Add(new KeyStroke(Shift, IsReleased: false));
            }

            strokes.Add(new KeyStroke(code, IsReleased: false));
            strokes.Add(new KeyStroke(code, IsReleased: true));
            if (shift)
            {
                strokes.Add(new KeyStroke(Shift, IsReleased: true));
            }
        }

        return strokes;
    }

    private static (ushort Code, bool Shift) Find(char character)
    {
        int plain = character == 0 ? -1 : Plain.IndexOf(character, StringComparison.Ordinal);
        int shifted = character == 0 ? -1 : Shifted.IndexOf(character, StringComparison.Ordinal);
        return character == '\e' ? ((ushort)1, false)
            : plain >= 0 ? ((ushort)(FirstCode + plain), false)
            : shifted >= 0 ? ((ushort)(FirstCode + shifted), true)
            : throw new FormatException($"There is no key for the character U+{(int)character:X4} on an American keyboard.");
    }
}
