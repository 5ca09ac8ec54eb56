using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Lamina.Interop.Kvm;

/// <summary><c>struct kvm_lapic_state</c>: the registers of a local APIC as its page has them, 16 bytes apart.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct KvmLocalApic
{
    /// <summary>Number of registers.</summary>
    public const int RegisterCount = 64;

    private Page _page;

    /// <summary>Register by page offset / 16.</summary>
    public uint this[int register]
    {
        readonly get => _page[register * 4];
        set => _page[register * 4] = value;
    }

    [InlineArray(RegisterCount * 4)]
    private struct Page
    {
        private uint _first;
    }
}
