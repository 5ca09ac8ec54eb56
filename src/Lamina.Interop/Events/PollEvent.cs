using System.Runtime.InteropServices;

namespace Lamina.Interop.Events;

/// <summary><c>struct epoll_event</c>, which is packed on x86-64.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct PollEvent
{
    public uint Events;
    public ulong Data;
}
