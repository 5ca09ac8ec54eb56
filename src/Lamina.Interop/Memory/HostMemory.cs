using System.Runtime.InteropServices;

namespace Lamina.Interop.Memory;

/// <summary>How much memory the host has.</summary>
public static unsafe class HostMemory
{
    /// <summary>Physical memory and swap together, in bytes; 0 if the host does not tell.</summary>
    public static ulong TotalSize
    {
        get
        {
            SystemInformation information;
            // SAFETY: the structure is as long as struct sysinfo of 64-bit Linux.
            return NativeMethods.GetSystemInformation(&information) == 0
                ? (information.TotalRam + information.TotalSwap) * information.Unit
                : 0;
        }
    }

    [StructLayout(LayoutKind.Sequential, Size = 128)]
    internal struct SystemInformation
    {
        public long Uptime;
        public ulong Load1;
        public ulong Load5;
        public ulong Load15;
        public ulong TotalRam;
        public ulong FreeRam;
        public ulong SharedRam;
        public ulong BufferRam;
        public ulong TotalSwap;
        public ulong FreeSwap;
        public ushort Processes;
        public ushort Padding;
        public ulong TotalHigh;
        public ulong FreeHigh;
        public uint Unit;
    }
}
