namespace Lamina.SoftCpu.Segmentation;

/// <summary>What switches tasks: it decides on busy bits, the link and NT (Intel SDM volume 3, table 7-2).</summary>
internal enum TaskSwitchSource
{
    Jump,
    Call,
    Return,
    Event,
}
