namespace Lamina.Personalities;

/// <summary>What a guest asks of its machine through its hypervisor. Any thread; none of them waits.</summary>
public interface IGuestRequests
{
    /// <summary>Resets the machine.</summary>
    void Reset();

    /// <summary>Reports that the guest's system has crashed.</summary>
    void ReportCrash();

    /// <summary>Switches the machine off.</summary>
    void PowerOff();
}
