"""A six-joint arm in a few lines of MJCF, as long as a common cobot: what every test of mounted arms runs on."""

from __future__ import annotations

from pathlib import Path

TINY = """
<mujoco model="tiny">
  <compiler angle="degree"/>
  <default>
    <joint range="-170 170" armature="0.05"/>
    <geom type="capsule" size="0.04" contype="1" conaffinity="1"/>
  </default>
  <asset>
    <material name="blue" rgba="0.1 0.2 0.9 1"/>
    <mesh name="block" vertex="0 0 0  .1 0 0  0 .1 0  0 0 .1  .1 .1 0  0 .1 .1  .1 0 .1  .1 .1 .1"/>
  </asset>
  <worldbody>
    <light pos="0 0 2"/>
    <geom type="plane" size="1 1 .1"/>
    <body name="base" pos="0.2 0.1 0" euler="0 0 90">
      <geom fromto="0 0 0 0 0 .2" material="blue"/>
      <body name="b1" pos="0 0 .25">
        <joint name="pan" axis="0 0 1"/>
        <geom type="mesh" mesh="block"/>
        <body name="b2">
          <joint name="shoulder" axis="0 1 0"/>
          <geom fromto="0 0 0 0 0 .45"/>
          <body name="b3" pos="0 0.02 .45">
            <joint name="elbow" axis="0 1 0"/>
            <geom fromto="0 0 0 0 0 .42"/>
            <body name="b4" pos="0 0 .42">
              <joint name="wrist1" axis="0 1 0"/>
              <geom fromto="0 0 0 0 0 .05"/>
              <body name="b5" pos="0 0 .05">
                <joint name="wrist2" axis="1 0 0"/>
                <geom fromto="0 0 0 0 0 .05"/>
                <geom name="hull" type="sphere" size=".2" group="3" mass="0"/>
                <body name="b6" pos="0 0 .05">
                  <joint name="wrist3" axis="0 0 1" limited="false"/>
                  <geom fromto="0 0 0 0 0 .03"/>
                  <site name="attachment_site" pos="0 0 .04"/>
                  <body name="hand" pos="0 0 .04">
                    <geom name="palm" type="box" size=".05 .02 .01"/>
                    <body name="finger"><joint name="finger" type="slide" range="0 .04"/><geom size=".01 .02"/></body>
                  </body>
                  <body name="cover"><geom name="cover" type="box" size=".01 .01 .01"/></body>
                </body>
              </body>
            </body>
          </body>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator>
    <position name="pan" joint="pan" kp="100" forcerange="-140 140"/>
    <motor name="shoulder" joint="shoulder" ctrlrange="-130 130" ctrllimited="true"/>
    <motor name="elbow" joint="elbow" ctrlrange="-60 60" ctrllimited="true" gear="2"/>
  </actuator>
  <keyframe><key name="home" qpos="0 0 0 0 0 0 0"/></keyframe>
</mujoco>
"""


def write(folder: Path, name: str = "tiny", text: str = TINY) -> Path:
    """The arm as a file in a folder of that name, as MuJoCo Menagerie has it: the file."""
    place = folder / name
    place.mkdir(parents=True)
    file = place / f"{name}.xml"
    file.write_text(text, encoding="utf-8")
    return file
