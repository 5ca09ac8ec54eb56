using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Lamina.Interop.Terminals;

/// <summary><c>struct termios</c> of the C library on Linux.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct TerminalAttributes
{
    public uint Input;
    public uint Output;
    public uint Control;
    public uint Local;
    public byte LineDiscipline;
    public ControlCharacters Characters;
    public uint InputSpeed;
    public uint OutputSpeed;

    [InlineArray(32)]
    public struct ControlCharacters
    {
        private byte _first;
    }
}
