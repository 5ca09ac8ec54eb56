namespace Lamina.Vmm;

/// <summary>A machine cannot be made as asked. The message is one line for a person: what is wrong, and what would be accepted.</summary>
public sealed class MachineConfigurationException : Exception
{
    /// <summary>Makes one.</summary>
    public MachineConfigurationException(string message)
        : base(message)
    {
    }

    /// <summary>Makes one with its cause.</summary>
    public MachineConfigurationException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
