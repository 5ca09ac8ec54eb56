using Lamina.Machine.Input;

namespace Lamina.Cli.Screen;

/// <summary>
/// Keys by their names: those of QEMU's <c>sendkey</c> (<c>ctrl-alt-delete</c>, <c>ret</c>, <c>kp_enter</c>), those of Linux as <c>virsh send-key</c> takes them (<c>KEY_LEFTCTRL</c>), and what is printed on keys, in upper or lower case.
/// </summary>
internal static class KeyNames
{
    /// <summary>Most keys that can be held at once.</summary>
    public const int MaximumHeld = 8;

    private const ushort E0 = KeyStroke.Extended;

    private static readonly Dictionary<string, ushort> Codes = Create();

    /// <summary>Reads keys that are held at once, with "+", "-" or spaces between them, and has them go down in that order, and up in the other.</summary>
    /// <exception cref="FormatException">There is no such key; the message says which, or what is wrong.</exception>
    public static IReadOnlyList<KeyStroke> ParseHeld(string keys)
    {
        string[] names = keys.Split(['+', '-', ' '], StringSplitOptions.RemoveEmptyEntries);
        if (names.Length is 0 or > MaximumHeld)
        {
            throw new FormatException($"'{keys}' names no keys, or more than {MaximumHeld}.");
        }

        ushort[] codes = [.. names.Select(Find)];
        return [.. codes.Select(static c => new KeyStroke(c, IsReleased: false)), .. Enumerable.Reverse(codes).Select(static c => new KeyStroke(c, IsReleased: true))];
    }

    private static ushort Find(string name)
    {
        string plain = name.StartsWith("KEY_", StringComparison.OrdinalIgnoreCase) ? name[4..] : name;
        return Codes.TryGetValue(plain, out ushort code)
            ? code
            : throw new FormatException($"There is no key '{name}'. Keys are named as in ctrl+alt+delete, f1, esc, enter, left, a or 7.");
    }

    private static Dictionary<string, ushort> Create()
    {
        Dictionary<string, ushort> codes = new(StringComparer.OrdinalIgnoreCase);
        void Add(ushort code, params string[] names)
        {
            foreach (string name in names)
            {
                codes.Add(name, code);
            }
        }

        const string Rows = "1234567890\0\0\0\0qwertyuiop\0\0\0\0asdfghjkl\0\0\0\0\0zxcvbnm";
        for (int i = 0; i < Rows.Length; i++)
        {
            if (Rows[i] != 0)
            {
                Add((ushort)(2 + i), Rows[i].ToString());
            }
        }

        for (int i = 1; i <= 10; i++)
        {
            Add((ushort)(0x3a + i), $"f{i}");
        }

        string[] keypad = ["7", "8", "9", "subtract", "4", "5", "6", "add", "1", "2", "3", "0", "decimal"];
        for (int i = 0; i < keypad.Length; i++)
        {
            Add((ushort)(0x47 + i), $"kp_{keypad[i]}");
            if (keypad[i].Length == 1)
            {
                Add((ushort)(0x47 + i), $"kp{keypad[i]}");
            }
        }

        Add(0x01, "esc", "escape");
        Add(0x0c, "minus");
        Add(0x0d, "equal");
        Add(0x0e, "backspace", "bksp");
        Add(0x0f, "tab");
        Add(0x1a, "bracket_left", "leftbrace");
        Add(0x1b, "bracket_right", "rightbrace");
        Add(0x1c, "ret", "return", "enter");
        Add(0x1d, "ctrl", "control", "ctrl_l", "leftctrl");
        Add(0x27, "semicolon");
        Add(0x28, "apostrophe");
        Add(0x29, "grave_accent", "grave");
        Add(0x2a, "shift", "shift_l", "leftshift");
        Add(0x2b, "backslash");
        Add(0x33, "comma");
        Add(0x34, "dot", "period");
        Add(0x35, "slash");
        Add(0x36, "shift_r", "rightshift");
        Add(0x37, "kp_multiply", "asterisk", "kpasterisk");
        Add(0x38, "alt", "alt_l", "leftalt");
        Add(0x39, "spc", "space");
        Add(0x3a, "caps_lock", "capslock");
        Add(0x45, "num_lock", "numlock");
        Add(0x46, "scroll_lock", "scrolllock");
        Add(0x4a, "kpminus");
        Add(0x4e, "kpplus");
        Add(0x53, "kpdot");
        Add(0x54, "sysrq_alt");
        Add(0x56, "less", "102nd");
        Add(0x57, "f11");
        Add(0x58, "f12");
        Add(E0 | 0x1c, "kp_enter", "kpenter");
        Add(E0 | 0x1d, "ctrl_r", "rightctrl");
        Add(E0 | 0x35, "kp_divide", "kpslash");
        Add(E0 | 0x37, "print", "printscreen", "sysrq");
        Add(E0 | 0x38, "alt_r", "altgr", "rightalt");
        Add(E0 | 0x47, "home");
        Add(E0 | 0x48, "up");
        Add(E0 | 0x49, "pgup", "pageup");
        Add(E0 | 0x4b, "left");
        Add(E0 | 0x4d, "right");
        Add(E0 | 0x4f, "end");
        Add(E0 | 0x50, "down");
        Add(E0 | 0x51, "pgdn", "pagedown");
        Add(E0 | 0x52, "insert", "ins");
        Add(E0 | 0x53, "delete", "del");
        Add(E0 | 0x5b, "meta_l", "meta", "win", "super", "leftmeta");
        Add(E0 | 0x5c, "meta_r", "rightmeta");
        Add(E0 | 0x5d, "menu", "compose");
        return codes;
    }
}
