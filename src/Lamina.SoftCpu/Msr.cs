namespace Lamina.SoftCpu;

/// <summary>Model-specific register numbers (Intel SDM volume 4).</summary>
internal static class Msr
{
    public const uint P5McAddress = 0x0;
    public const uint P5McType = 0x1;
    public const uint TimeStampCounter = 0x10;
    public const uint PlatformId = 0x17;
    public const uint ApicBase = 0x1b;
    public const uint FeatureControl = 0x3a;
    public const uint TscAdjust = 0x3b;
    public const uint SpecCtrl = 0x48;
    public const uint PredCmd = 0x49;
    public const uint MicrocodeUpdate = 0x79;
    public const uint MicrocodeRevision = 0x8b;
    public const uint PlatformInfo = 0xce;
    public const uint MtrrCapabilities = 0xfe;
    public const uint ArchCapabilities = 0x10a;
    public const uint FlushCmd = 0x10b;
    public const uint SysenterCs = 0x174;
    public const uint SysenterEsp = 0x175;
    public const uint SysenterEip = 0x176;
    public const uint McgCapabilities = 0x179;
    public const uint McgStatus = 0x17a;
    public const uint McgControl = 0x17b;
    public const uint MiscEnable = 0x1a0;
    public const uint DebugControl = 0x1d9;
    public const uint MtrrPhysicalBase0 = 0x200;
    public const uint MtrrPhysicalLast = 0x20f;
    public const uint MtrrFixed64K = 0x250;
    public const uint MtrrFixed16KFirst = 0x258;
    public const uint MtrrFixed16KLast = 0x259;
    public const uint MtrrFixed4KFirst = 0x268;
    public const uint MtrrFixed4KLast = 0x26f;
    public const uint Pat = 0x277;
    public const uint MtrrDefaultType = 0x2ff;
    public const uint MachineCheckBank0 = 0x400;
    public const uint MachineCheckBankLast = 0x427;
    public const uint TscDeadline = 0x6e0;
    public const uint X2ApicFirst = 0x800;
    public const uint X2ApicLast = 0x8ff;
    public const uint Efer = 0xc000_0080;
    public const uint Star = 0xc000_0081;
    public const uint Lstar = 0xc000_0082;
    public const uint Cstar = 0xc000_0083;
    public const uint Fmask = 0xc000_0084;
    public const uint FsBase = 0xc000_0100;
    public const uint GsBase = 0xc000_0101;
    public const uint KernelGsBase = 0xc000_0102;
    public const uint TscAux = 0xc000_0103;
}
