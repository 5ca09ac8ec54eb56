namespace Lamina.Machine.Processors;

/// <summary>
/// IA32_ARCH_CAPABILITIES as Lamina's processors report it (Intel SDM volume 4, MSR 10AH): none of the listed hardware flaws exists in a processor that
/// does not speculate on the guest's behalf, so that a guest needs no page-table isolation, retpolines or buffer clearing.
/// </summary>
public static class ArchitecturalCapabilities
{
    /// <summary>
    /// RDCL_NO, IBRS_ALL, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO, ITS_NO.
    /// </summary>
    public const ulong Value = (1UL << 0) | (1UL << 1) | (1UL << 3) | (1UL << 4) | (1UL << 5) | (1UL << 6) | (1UL << 8)
        | (1UL << 13) | (1UL << 14) | (1UL << 15) | (1UL << 20) | (1UL << 24) | (1UL << 26) | (1UL << 27) | (1UL << 62);
}
