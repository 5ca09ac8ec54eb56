namespace Lamina.Personalities.VMware.Backdoor;

/// <summary>What a guest can ask of the backdoor port, in the lower half of ECX (open-vm-tools, lib/include/backdoor_def.h).</summary>
internal enum BackdoorCommand : ushort
{
    GetMegahertz = 1,
    GetVersion = 10,
    GetScreenSize = 15,
    GetHardwareVersion = 17,
    GetMemorySize = 20,
    GetTime = 23,
    Message = 30,
    AbsolutePointerStatus = 40,
    GetHertz = 45,
    GetTimeFull = 46,
    GetProcessorInfo = 68,
}
